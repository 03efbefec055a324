package main

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQuota(t *testing.T) {
	t.Parallel()
	q, err := parseQuota("kill:4,partition:3,lost-acks:2")
	if err != nil {
		t.Fatal(err)
	}
	n := &nemesis{kinds: allFaults, targets: []*process{
		{name: "broker", role: broker, faults: "there"},
		{name: "command-service-1", role: commandService, links: []*link{{}}}, {name: "command-service-2", role: commandService},
		{name: "read-api-1", role: readAPI, links: []*link{{}}},
	}}
	lanes := n.lanes()
	if len(lanes) != 3 {
		t.Fatalf("%d lanes", len(lanes))
	}
	tests := []struct {
		name string
		lane lane
		want map[string]int
	}{
		{"services", lanes[0], map[string]int{"kill command-service-1": 2, "kill command-service-2": 2, "kill read-api-1": 4}},
		{"servers", lanes[1], map[string]int{"kill broker": 4, "lost-acks broker": 2}},
		{"links", lanes[2], map[string]int{
			"black-hole command-service-1": 1, "no-answers command-service-1": 1, "no-asking command-service-1": 1,
			"black-hole read-api-1": 1, "no-answers read-api-1": 1, "no-asking read-api-1": 1,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dealt := func() (all []string) {
				next := q.of(test.lane, rand.New(rand.NewPCG(1, 2)))
				for h, more := next(); more; h, more = next() {
					all = append(all, h.kind+" "+h.target.name)
				}
				return all
			}
			got := map[string]int{}
			for _, h := range dealt() {
				got[h]++
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !slices.Equal(dealt(), dealt()) {
				t.Error("a seed deals in two ways")
			}
		})
	}
	for _, text := range []string{"kill", "kill:0", "kill:x", "hit:2", "kill:1,", ":1"} {
		if _, err := parseQuota(text); err == nil {
			t.Errorf("takes %q", text)
		}
	}
}
