package userstats

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/projections"
	"github.com/millrace/millrace/projections/projectiontest"
	"github.com/millrace/millrace/projections/userlist"
)

// some is a log of two days: users of several partitions, in all states.
func some() *projectiontest.Log {
	log := new(projectiontest.Log)
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		log.Add("userCreated", id, fmt.Sprintf(`{"id":%s,"name":"User"}`, id))
		log.Again(id)
	}
	log.Add("commandRefused", "1", `{"commandType":"createUser","problem":"user-exists","detail":""}`)
	log.Add("userDeactivated", "2", `{"id":2}`)
	log.Add("userDeactivated", "3", `{"id":3}`)
	log.Add("userDeleted", "3", `{"id":3}`) // was inactive
	log.Add("userDeleted", "4", `{"id":4}`) // was active
	log.Again("4")
	log.Add("userDeactivated", "5", `{"id":5}`)
	log.Add("userReactivated", "5", `{"id":5}`)
	log.Add("userRenamed", "5", `{"id":5,"name":"Five"}`)
	log.Add("userRenamed", "never created", `{"id":"never created","name":"X"}`)
	log.Day = 11*time.Hour + 59*time.Minute + 39*time.Second // the next one is the last of its day, and those after it are not
	for _, id := range []string{"a", "b", "c"} {
		log.Add("userCreated", id, fmt.Sprintf(`{"id":%q,"name":"User"}`, id))
	}
	return log
}

func TestProjection(t *testing.T) {
	projectiontest.Golden(t, Projection, some(), "testdata/projection.golden")
}

// routes are in the order of the read API: /users/stats is no user.
func routes(router *mux.Router, reader *projections.Reader) {
	Routes(router, reader)
	userlist.Routes(router, reader)
}

func TestStats(t *testing.T) {
	m := projectiontest.Open(t, Projection)
	c := m.Client(t, routes)
	c.Want("/users/stats", 503, `{"type":"urn:millrace:problem:unavailable","title":"Service unavailable","status":503,"detail":"the read model isn't there yet"}`)
	m.Fold(new(projectiontest.Log))
	c.Want("/users/stats", 200, `{"total":0,"active":0,"inactive":0,"deleted":0,"signUps":[]}`)
	log := some()
	m.Fold(log)
	const want = `{"total":6,"active":5,"inactive":1,"deleted":2,"signUps":[{"day":"2026-01-02","users":6},{"day":"2026-01-03","users":2}]}`
	etag := c.Want("/users/stats", 200, want).Header.Get("ETag")
	c.Want("/users/stats?day=1", 400, `{"type":"urn:millrace:problem:invalid-request","title":"Invalid request","status":400,"detail":"the query parameters are not valid","errors":[{"parameter":"day","detail":"is not a parameter of this query"}]}`)

	log.Add("userRenamed", "1", `{"id":1,"name":"One"}`)
	m.Fold(log)
	if got := c.Ask(http.MethodGet, "/users/stats", "If-None-Match", etag); got.Status != 304 {
		t.Errorf("after a renaming: status %d, ETag %s, want 304, as nothing has changed", got.Status, etag)
	}
	log.Add("userPainted", "5", `{"id":5}`) // which this binary can't read
	m.Fold(log)
	stale := strings.Replace(want, `}]}`, `}],"stale":true}`, 1)
	etag = c.Want("/users/stats", 200, stale).Header.Get("ETag")
	log.Add("userDeactivated", "1", `{"id":1}`)
	m.Fold(log)
	if got := c.Ask(http.MethodGet, "/users/stats", "If-None-Match", etag); got.Status != 200 {
		t.Errorf("after a deactivation: status %d, and the ETag was %s", got.Status, etag)
	}
}

// Whatever happens, in whatever batches, the counts are those of the users.
func TestCountsAreExact(t *testing.T) {
	const users = 40
	random := rand.New(rand.NewPCG(1, 2))
	log := new(projectiontest.Log)
	m := projectiontest.Open(t, Projection)
	states := map[int]string{}
	for step := range 2000 {
		n := random.IntN(users)
		id := fmt.Sprint(n)
		event := func(eventType, state string) {
			log.Add(eventType, id, fmt.Sprintf(`{"id":%s,"name":"User"}`, id))
			if states[n] = state; random.IntN(3) == 0 {
				log.Again(id)
			}
		}
		switch die := random.IntN(10); {
		case states[n] == "":
			event("userCreated", active)
		case states[n] == deleted:
			log.Add("commandRefused", id, `{"commandType":"renameUser","problem":"user-deleted","detail":""}`)
		case die == 0:
			event("userDeleted", deleted)
		case states[n] == active:
			event("userDeactivated", inactive)
		default:
			event("userReactivated", active)
		}
		if step%400 == 0 {
			m.Fold(log)
		}
	}
	m.Fold(log)
	count := map[string]int{}
	for _, state := range states {
		count[state]++
	}
	m.Client(t, Routes).Want("/users/stats", 200, fmt.Sprintf(`{"total":%d,"active":%d,"inactive":%d,"deleted":%d,"signUps":[{"day":"2026-01-02","users":%d}]}`,
		count[active]+count[inactive], count[active], count[inactive], count[deleted], len(states)))
}
