package main

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/millrace/millrace/router/eventlog"
)

// budget is the number of operations that a user gets: the search for an order
// takes longer with more operations.
const budget = 60

// user is a user that several clients use.
type user struct {
	id string

	mu      sync.Mutex
	told    eventlog.Position // the latest position that any client saw
	version uint64            // the latest version that any client saw
	waits   bool              // commands wait for an operator, by the last answer
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

// tell shares the position and version of an answer. A sent command's token has no
// position.
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

// parked notes whether commands wait for an operator.
func (u *user) parked(waits bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waits = waits
}

// patience is how many seconds a client waits for the outcome of a command.
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

// population is all users: now are in use, all has earlier users too.
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

// pick picks a user, and takes an operation off the budget.
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

// any is any user, also an earlier one.
func (us *population) any(rng *rand.Rand) *user {
	us.mu.Lock()
	defer us.mu.Unlock()
	return us.all[rng.IntN(len(us.all))]
}

// last are the n latest users.
func (us *population) last(n int) []*user {
	us.mu.Lock()
	defer us.mu.Unlock()
	return us.all[max(0, len(us.all)-n):]
}
