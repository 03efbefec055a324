package eventlog

import "log/slog"

// TraceAttr is the trace of a command or record for a log line, nothing if it
// isn't traced. Its argument is a W3C traceparent: 00-<trace id>-<parent>-01.
func TraceAttr(traceParent string) slog.Attr {
	const from, to = len("00-"), len("00-") + 32
	if len(traceParent) < to {
		return slog.Attr{}
	}
	return slog.String("trace", traceParent[from:to])
}
