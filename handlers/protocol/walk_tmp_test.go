package protocol

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

type sentJSON struct {
	Digest, Prev                                int
	User, Command, Kind, Name, Seq, Version, ID int
}
type stepJSON struct {
	Deed, Who, At int
	Record        int // digest for lands lingers fails hears
	Accepted      bool
	Sent          []sentJSON
	Marked        [2]int
	Text          string
}
type walkJSON struct {
	Scenario string
	Commands []map[string]int
	Handlers []map[string]any
	Window   int
	Recreated int
	Steps    []stepJSON
}

func TestWalkOut(t *testing.T) {
	out := os.Getenv("WALKS")
	if out == "" {
		t.Skip()
	}
	n, _ := strconv.Atoi(os.Getenv("WALKN"))
	f, _ := os.Create(out)
	defer f.Close()
	enc := json.NewEncoder(f)
	for _, s := range scenarios {
		for seed := range n {
			rnd := rand.New(rand.NewPCG(uint64(seed), 7))
			m := newModel(s, 0)
			var sent []digest
			m.sent = func(d digest) { sent = append(sent, d) }
			w := m.start()
			walk := walkJSON{Scenario: s.name, Window: s.window, Recreated: int(s.recreated)}
			for _, c := range s.commands {
				walk.Commands = append(walk.Commands, map[string]int{"verb": int(c.verb), "user": int(c.user), "id": int(c.id), "name": int(c.name), "expects": int(c.expects), "drops": int(c.drops)})
			}
			for _, h := range s.handlers {
				walk.Handlers = append(walk.Handlers, map[string]any{"new": h.new, "blind": h.blind, "remember": int(h.remember)})
			}
			for range 200 {
				list, _ := m.possible(&w, nil)
				if len(list) == 0 {
					break
				}
				a := list[rnd.IntN(len(list))]
				if (a.deed == crashes || a.deed == claims || a.deed == recreate) && rnd.IntN(4) > 0 && w.owner != 0 {
					continue
				}
				rec := w.handlers[a.who].air[a.at%maxAir].record
				before := w.log
				sent = nil
				text := ""
				m.say = func(s string) { text += s + "; " }
				m.do(&w, a)
				st := stepJSON{Deed: int(a.deed), Who: int(a.who), At: int(a.at), Accepted: before != w.log, Marked: [2]int{int(w.handlers[0].marked), int(w.handlers[1].marked)}, Text: text}
				switch a.deed {
				case lands, lingers, fails, hears:
					st.Record = int(rec)
				}
				for _, d := range sent {
					r := m.records[d]
					st.Sent = append(st.Sent, sentJSON{int(d), int(r.prev), int(r.user), int(r.command), int(r.kind), int(r.name), int(r.seq), int(r.version), int(m.commands[r.command].id)})
				}
				walk.Steps = append(walk.Steps, st)
				if m.broken != "" {
					t.Fatal(m.broken)
				}
			}
			enc.Encode(walk)
		}
	}
}
