package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// childrenOf are the running children of a process.
func childrenOf(pid int) (children []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
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

// running says whether a process runs. An ended process without a waiting parent
// (state Z) holds nothing, and counts as not running.
func running(pid int) bool {
	state, _, ok := stateOf(pid)
	return ok && state != 'Z'
}

// stateOf reads the state and the parent of a process.
func stateOf(pid int) (state rune, parent int, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, false // the process is gone
	}
	// "pid (name) state parent …": a name may have parentheses and spaces.
	_, err = fmt.Sscanf(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " %c %d", &state, &parent)
	return state, parent, err == nil
}
