package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// partition is the name in a quota for all partitionings.
const partition = "partition"

// quota is the least number of faults that each role gets, by fault.
type quota map[string]int

// parseQuota reads "kill:20,freeze:5", "" for none.
func parseQuota(text string) (quota, error) {
	if text == "" {
		return nil, nil
	}
	q := quota{}
	for part := range strings.SplitSeq(text, ",") {
		kind, times, _ := strings.Cut(part, ":")
		n, err := strconv.Atoi(times)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-quota %s: it is fault:times", part)
		}
		if kind != partition && !slices.Contains(allFaults, kind) {
			return nil, fmt.Errorf("-quota %s: there are %s, and %s for any of %s", part,
				strings.Join(allFaults, ", "), partition, strings.Join(partitionings, ", "))
		}
		q[kind] += n
	}
	return q, nil
}

// of deals the lane's part of the quota in random order, until the quota is
// fulfilled.
func (q quota) of(l lane, rng *rand.Rand) func() (harm, bool) {
	var deck []harm
	for _, kind := range append(slices.Clone(allFaults), partition) { // in a fixed order: a seed always deals the same
		for _, role := range allRoles {
			var these []harm
			for _, h := range l {
				if h.target.role == role && (h.kind == kind || kind == partition && slices.Contains(partitionings, h.kind)) {
					these = append(these, h)
				}
			}
			for i := range q[kind] {
				if len(these) > 0 {
					deck = append(deck, these[i%len(these)])
				}
			}
		}
	}
	rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	return func() (harm, bool) {
		if len(deck) == 0 {
			return harm{}, false
		}
		next := deck[0]
		deck = deck[1:]
		return next, true
	}
}
