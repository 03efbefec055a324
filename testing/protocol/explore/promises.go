package explore

import "fmt"

// Promises notes the first broken promise of a search.
type Promises struct {
	broken string
}

// Breaks notes that a promise is broken.
func (p *Promises) Breaks(promise, format string, args ...any) {
	if p.broken == "" {
		p.broken = promise + ": " + fmt.Sprintf(format, args...)
	}
}

// Broken returns the broken promise and the reason, "" while all promises hold.
func (p *Promises) Broken() string { return p.broken }
