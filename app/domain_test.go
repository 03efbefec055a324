package main

import "testing"

// The parts of the service fit together.
func TestDomain(t *testing.T) {
	if err := domain.Check(); err != nil {
		t.Error(err)
	}
}
