package main

import (
	"fmt"
	"sync"

	"github.com/millrace/millrace/router/eventlog"
)

// budget is how many operations a user gets: an order of them is searched, and
// that takes longer the more there are.
const budget = 60

// user is one that several clients are at.
type user struct {
	id string

	mu      sync.Mutex
	told    eventlog.Position // all that any client was told of it
	version uint64            // as last told
	waits   bool              // its commands do, for an operator, as last told
	left    int
}

// after is the Read-After of the next read, "" for none.
func (u *user) after() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.told) == 0 {
		return ""
	}
	return eventlog.EncodePosition(u.told)
}

// tell shares what a client was told. A token of a command is none.
func (u *user) tell(token string, version uint64) {
	position, err := eventlog.ParsePosition(token)
	if err != nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.told = u.told.Max(position)
	u.version = max(u.version, version)
}

// spend takes more of the budget: a burst is many operations.
func (us *population) spend(u *user, n int) {
	us.mu.Lock()
	defer us.mu.Unlock()
	u.left -= n
}

// parked says whether its commands wait, as was last told.
func (u *user) parked(waits bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waits = waits
}

// patience is how many seconds a client waits for the outcome of its command.
func (u *user) patience() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.waits {
		return 1
	}
	return 5
}

func (u *user) lastVersion() uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.version
}

// population is the users: those that clients are at now, and those before.
type population struct {
	mu  sync.Mutex
	now []*user
	all []*user
}

func newUsers(n int) *population {
	us := &population{}
	for range n {
		us.now = append(us.now, us.next())
	}
	return us
}

func (us *population) next() *user {
	u := &user{id: fmt.Sprintf("u%d", len(us.all)+1), left: budget, told: eventlog.Position{}}
	us.all = append(us.all, u)
	return u
}

// pick takes one operation of a user's budget.
func (us *population) pick(i int) *user {
	us.mu.Lock()
	defer us.mu.Unlock()
	i %= len(us.now)
	if us.now[i].left <= 0 {
		us.now[i] = us.next()
	}
	us.now[i].left--
	return us.now[i]
}

// last are the latest ones.
func (us *population) last(n int) []*user {
	us.mu.Lock()
	defer us.mu.Unlock()
	return us.all[max(0, len(us.all)-n):]
}
