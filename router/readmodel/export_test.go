package readmodel

// Waiting returns the number of waiters.
func (m *ModelWaits) Waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waiting
}

// CompareAtOnce limits the number of rows that are compared in a view.
func (v *Verifier) CompareAtOnce(rows int) { v.comparedAtOnce = rows }
