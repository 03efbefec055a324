package logging

import "log/slog"

// Trace is the attribute "trace" with the trace id of a command or record. The
// argument is a W3C traceparent, 00-<trace id>-<parent id>-<flags>
// (https://www.w3.org/TR/trace-context/); without a trace id in it the
// attribute is empty, and the log omits an empty attribute.
func Trace(traceParent string) slog.Attr {
	const from, to = len("00-"), len("00-") + 32
	if len(traceParent) < to {
		return slog.Attr{}
	}
	return slog.String("trace", traceParent[from:to])
}
