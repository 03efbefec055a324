package operations

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// maxScheduled is the limit of the scheduled commands in the result of a scan.
const maxScheduled = 100

// Scheduled is a command that waits for its time.
type Scheduled struct {
	CommandID string `json:"commandId"`
	Type      string `json:"type"`
	// NotBefore is the earliest time of the decision, as RFC 3339 in UTC.
	NotBefore string `json:"notBefore"`
}

// waiting are the scheduled commands of a stream that wait for their time, by
// place in topic commands.
type waiting map[eventlog.CommandPosition]Scheduled

// fold adds the command of a record commandScheduled. Every other record of the
// same command ends the wait.
func (w waiting) fold(r *eventlog.Record) {
	if r.Type != eventlog.TypeCommandScheduled {
		delete(w, r.CommandPosition)
		return
	}
	var body struct {
		CommandType string    `json:"commandType"`
		NotBefore   time.Time `json:"notBefore"`
	}
	if json.Unmarshal(r.Body, &body) == nil { // no decider writes another body
		w[r.CommandPosition] = Scheduled{r.CommandID, body.CommandType, eventlog.FormatTime(body.NotBefore)}
	}
}

// first returns the first commands by time.
func (w waiting) first(limit int) []Scheduled {
	all := slices.SortedFunc(maps.Values(w), func(a, b Scheduled) int {
		return cmp.Or(strings.Compare(a.NotBefore, b.NotBefore), strings.Compare(a.CommandID, b.CommandID))
	})
	return all[:min(limit, len(all))]
}
