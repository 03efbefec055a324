package main

import "testing"

// Nobody listens at the address of a process that is down, and the address is the
// process's all the same.
func TestFreeAddressesDiffer(t *testing.T) {
	given := map[string]bool{}
	for range 2000 {
		address, err := freeAddress()
		if err != nil {
			t.Fatal(err)
		}
		if given[address] {
			t.Fatalf("%s was given twice", address)
		}
		given[address] = true
	}
}
