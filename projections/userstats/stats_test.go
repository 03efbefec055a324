package userstats

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/projection/projectiontest"
	"github.com/millrace/millrace/router/query"
)

// some is a log of two days: users of several partitions, in all states.
func some() *projectiontest.Log {
	log := new(projectiontest.Log)
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		log.Event(users.Aggregate, users.UserCreated{ID: users.ID(id), Name: "User"})
		log.Again("user/" + id)
	}
	log.Refused(users.Aggregate, "1", "createUser", users.ErrExists)
	log.Event(users.Aggregate, users.UserDeactivated{ID: "2"})
	log.Event(users.Aggregate, users.UserDeactivated{ID: "3"})
	log.Event(users.Aggregate, users.UserDeleted{ID: "3"}) // was inactive
	log.Event(users.Aggregate, users.UserDeleted{ID: "4"}) // was active
	log.Again("user/4")
	log.Event(users.Aggregate, users.UserDeactivated{ID: "5"})
	log.Event(users.Aggregate, users.UserReactivated{ID: "5"})
	log.Event(users.Aggregate, users.UserRenamed{ID: "5", Name: "Five"})
	log.Event(users.Aggregate, users.UserRenamed{ID: "never created", Name: "X"})
	log.Day = 11*time.Hour + 59*time.Minute + 39*time.Second // the next one is the last of its day, and those after it are not
	for _, id := range []string{"a", "b", "c"} {
		log.Event(users.Aggregate, users.UserCreated{ID: users.ID(id), Name: "User"})
	}
	return log
}

func TestProjection(t *testing.T) {
	projectiontest.Golden(t, Projection, some(), "testdata/projection.golden", users.Aggregate)
}

func TestStats(t *testing.T) {
	m := projectiontest.Open(t, Projection, users.Aggregate)
	c := m.Client(t, Routes)
	c.Want("/stats/users", 503, `{"type":"urn:millrace:problem:unavailable","title":"Service unavailable","status":503,"detail":"the read model isn't there yet"}`)
	m.Fold(new(projectiontest.Log))
	c.Want("/stats/users", 200, `{"total":0,"active":0,"inactive":0,"deleted":0,"signUps":[]}`)
	log := some()
	m.Fold(log)
	const want = `{"total":6,"active":5,"inactive":1,"deleted":2,"signUps":[{"day":"2026-01-02","users":6},{"day":"2026-01-03","users":2}]}`
	etag := c.Want("/stats/users", 200, want).Header.Get("ETag")
	c.Want("/stats/users?day=1", 400, `{"type":"urn:millrace:problem:invalid-request","title":"Invalid request","status":400,"detail":"the query parameters are not valid","errors":[{"parameter":"day","detail":"is not a parameter of this query"}]}`)

	log.Event(users.Aggregate, users.UserRenamed{ID: "1", Name: "One"})
	m.Fold(log)
	if got := c.Ask(http.MethodGet, "/stats/users", "If-None-Match", etag); got.Status != 304 {
		t.Errorf("after a renaming: status %d, ETag %s, want 304, as nothing has changed", got.Status, etag)
	}
	log.Add("userPainted", "user/5", `{"id":5}`) // which this binary can't read
	m.Fold(log)
	stale := strings.Replace(want, `}]}`, `}],"stale":true}`, 1)
	etag = c.Want("/stats/users", 200, stale).Header.Get("ETag")
	log.Event(users.Aggregate, users.UserDeactivated{ID: "1"})
	m.Fold(log)
	if got := c.Ask(http.MethodGet, "/stats/users", "If-None-Match", etag); got.Status != 200 {
		t.Errorf("after a deactivation: status %d, and the ETag was %s", got.Status, etag)
	}
}

// The counts are right after every log, in batches of every size.
func TestCountsAreExact(t *testing.T) {
	const many = 40
	random := rand.New(rand.NewPCG(1, 2))
	log := new(projectiontest.Log)
	m := projectiontest.Open(t, Projection, users.Aggregate)
	states := map[int]string{}
	for step := range 2000 {
		n := random.IntN(many)
		id := fmt.Sprint(n)
		event := func(eventType, state string) {
			log.Add(eventType, "user/"+id, fmt.Sprintf(`{"id":%s,"name":"User"}`, id))
			if states[n] = state; random.IntN(3) == 0 {
				log.Again("user/" + id)
			}
		}
		switch die := random.IntN(10); {
		case states[n] == "":
			event("userCreated", active)
		case states[n] == deleted:
			log.Add("commandRefused", "user/"+id, `{"commandType":"renameUser","problem":"user-deleted","detail":""}`)
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
	m.Client(t, Routes).Want("/stats/users", 200, fmt.Sprintf(`{"total":%d,"active":%d,"inactive":%d,"deleted":%d,"signUps":[{"day":"2026-01-02","users":%d}]}`,
		count[active]+count[inactive], count[active], count[inactive], count[deleted], len(states)))
}

func TestModel(t *testing.T) {
	registry, err := aggregate.NewRegistry(users.Aggregate)
	if err := errors.Join(err, query.Check([]query.Model{Model}, registry)); err != nil || len(Model.OpenAPI) == 0 {
		t.Errorf("%v, and %d bytes of OpenAPI", err, len(Model.OpenAPI))
	}
}
