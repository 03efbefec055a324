package bank

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/millrace/millrace/router/eventlog"
)

// recent is how many accounts and transfers clients use: few, so that clients
// disturb each other.
const recent = 12

// Population is what the clients know of the bank: accounts, transfers, numbers,
// and the latest position that any client saw.
type Population struct {
	numbers int

	mu        sync.Mutex
	accounts  []string
	transfers []string
	told      eventlog.Position
}

// NewPopulation returns a bank without accounts, for so many clients.
func NewPopulation(clients int) *Population {
	return &Population{numbers: 4 * clients, told: eventlog.Position{}}
}

// number is a random number. There are not enough numbers for all accounts.
func (p *Population) number(rng *rand.Rand) string {
	return fmt.Sprintf("DE%02d 0000 0000", rng.IntN(p.numbers))
}

// opened notes a new account.
func (p *Population) opened(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accounts = append(p.accounts, id)
}

// closed forgets an account, so that clients use accounts that are open.
func (p *Population) closed(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accounts = slices.DeleteFunc(p.accounts, func(account string) bool { return account == id })
}

// requested notes a new transfer.
func (p *Population) requested(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.transfers = append(p.transfers, id)
}

// account is a recent account, "nobody" if there is none.
func (p *Population) account(rng *rand.Rand) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return pick(rng, p.accounts)
}

// transfer is a recent transfer, "nobody" if there is none.
func (p *Population) transfer(rng *rand.Rand) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return pick(rng, p.transfers)
}

func pick(rng *rand.Rand, all []string) string {
	if len(all) == 0 {
		return "nobody"
	}
	latest := all[max(0, len(all)-recent):]
	return latest[rng.IntN(len(latest))]
}

// after is the Read-After of the next read, "" for none.
func (p *Population) after() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.told) == 0 {
		return ""
	}
	return eventlog.EncodePosition(p.told)
}

// tell shares the position of an answer. The token of a sent command has no
// position.
func (p *Population) tell(token string) {
	position, err := eventlog.ParsePosition(token)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = p.told.Max(position)
}
