package service

// ballast lets at least 64 MiB of garbage pile up between two runs of the
// collector. By default it is as much as is alive, and here little is: the
// collector would run all the time, for a tenth of what a command costs. The
// memory is never touched, so it takes addresses only. A heap that is larger
// is collected as ever, and GOGC and GOMEMLIMIT count as ever.
func ballast() []byte { return make([]byte, 64<<20) }
