package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// childrenOf are the processes that one started and that run yet.
func childrenOf(pid int) (children []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if _, parent, ok := stateOf(child); ok && parent == pid {
			children = append(children, child)
		}
	}
	return children
}

// running says whether a process holds anything yet: one that has ended and
// that nobody asked after (Z) doesn't.
func running(pid int) bool {
	state, _, ok := stateOf(pid)
	return ok && state != 'Z'
}

// stateOf reads a process's state, and who started it.
func stateOf(pid int) (state rune, parent int, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, false // it is gone
	}
	// pid (name) state parent …: a name can have anything in it.
	_, err = fmt.Sscanf(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " %c %d", &state, &parent)
	return state, parent, err == nil
}
