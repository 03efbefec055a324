package readmodel

// Waiting returns the number of waiters.
func (m *ModelWaits) Waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waiting
}
