package service

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// readyPoll is how often a process looks whether it is still ready.
	readyPoll = time.Second
	// startPoll is how often a process looks whether it is ready at last.
	startPoll = 20 * time.Millisecond
	// startPatience is how long a start may take before a line says what the
	// process waits for.
	startPatience = 5 * time.Second
)

// sayReady logs when the process has become ready, when it is not ready any
// more, and when it is ready again: one line for each change. A failure that
// the next look doesn't confirm is no change.
func (m *Process) sayReady(ctx context.Context, poll time.Duration) {
	began, every := time.Now(), startPoll
	said := "" // the checks that failed, in the last line; "" after ready
	first, confirmed := true, false
	for {
		failing := m.health.check(ctx)
		if ctx.Err() != nil || failing["process"] != nil {
			return
		}
		names := strings.Join(slices.Sorted(maps.Keys(failing)), ", ")
		switch {
		case names == "" && first:
			m.Log.Info("ready", "after", time.Since(began).Round(time.Millisecond).String())
			first, said, every = false, "", poll
		case names == "" && said != "":
			m.Log.Info("ready again", "after", time.Since(began).Round(time.Millisecond).String())
			said, confirmed = "", false
		case names == "":
			confirmed = false
		case names == said:
		case first:
			if time.Since(began) >= startPatience {
				m.Log.Info("not ready yet: "+names, "waiting for", m.reasons(failing))
				said = names
			}
		case !confirmed:
			confirmed = true
			if said == "" {
				began = time.Now()
			}
		default:
			m.Log.Info("not ready: "+names, "waiting for", m.reasons(failing))
			said, confirmed = names, false
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
	}
}

// reasons are the reasons of failing checks, in one line, each reason once.
func (m *Process) reasons(failing map[string]error) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(failing)) {
		for line := range strings.Lines(failing[name].Error()) {
			if line = strings.TrimSpace(line); line != "" && !slices.Contains(all, line) {
				all = append(all, line)
			}
		}
	}
	const shown = 3
	if len(all) > shown {
		all = append(all[:shown], "…")
	}
	return strings.Join(all, "; ")
}

// drain waits for drain_delay. A load balancer sees at /readyz that the process
// is not ready, while the ports still answer.
func (m *Process) drain() {
	if m.Config.DrainDelay > 0 {
		m.Log.Info("not ready any more; still answering", "for", m.Config.DrainDelay.String())
		time.Sleep(m.Config.DrainDelay)
	}
}
