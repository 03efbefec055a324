package service

// ballast lets at least 64 MiB of garbage pile up between two runs of the
// garbage collector. By default the collector runs when garbage is as large as
// the live heap, so a process with little data in memory would collect all the
// time. The ballast is never touched, so it takes addresses but no memory. A
// larger heap is collected as ever, and GOGC and GOMEMLIMIT count as ever.
func ballast() []byte { return make([]byte, 64<<20) }
