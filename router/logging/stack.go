package logging

import (
	"fmt"
	"path"
	"runtime"
	"strings"
)

// Stack is the stack of a panic in a team's code, for the deferred function that
// recovers from the panic. The stack ends above the first function whose name
// contains end, and has no goroutines, addresses and folders: the same panic has
// the same stack in every process.
func Stack(end string) string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var text strings.Builder
	for more := true; more; {
		var f runtime.Frame
		if f, more = frames.Next(); strings.Contains(f.Function, end) {
			break
		}
		fmt.Fprintf(&text, "%s\n\t%s:%d\n", f.Function, path.Base(f.File), f.Line)
	}
	return text.String()
}
