package readmodel

// Waiting returns the number of waiters.
func (m *ModelWaits) Waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waiting
}

// CompareAtOnce limits the number of rows that are compared in a view.
func (v *Verifier) CompareAtOnce(rows int) { v.comparedAtOnce = rows }

// KnowAtOnce limits the number of streams and rows that a verification keeps in
// memory.
func (v *Verifier) KnowAtOnce(names int) { v.knownAtOnce = names }

// Idle says whether nothing is being read, or kept of a reading.
func (s *SharedReading) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.next)+len(s.latest) == 0
}
