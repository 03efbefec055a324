package bank

import (
	"sort"

	"example.com/bank/handlers/accounts"
	"example.com/bank/handlers/transfers"
	"example.com/bank/values"
	"github.com/millrace/millrace/router/eventlog"
)

// Money is an answer of GET /stats/money.
type Money struct {
	Accounts  int64 `json:"accounts"`
	Balances  int64 `json:"balances"`
	InTransit int64 `json:"inTransit"`
	Deposited int64 `json:"deposited"`
	Withdrawn int64 `json:"withdrawn"`
}

// after is the money after one more event.
func (m Money) after(e *entry) Money {
	switch event := e.event.(type) {
	case *accounts.AccountOpened:
		m.Accounts++
	case *accounts.MoneyDeposited:
		m.Balances += int64(event.Amount)
		if event.Transfer == "" {
			m.Deposited += int64(event.Amount)
		} else {
			m.InTransit -= int64(event.Amount)
		}
	case *accounts.MoneyWithdrawn:
		m.Balances -= int64(event.Amount)
		if event.Transfer == "" {
			m.Withdrawn += int64(event.Amount)
		} else {
			m.InTransit += int64(event.Amount)
		}
	case *accounts.MoneyPaidBack:
		m.Balances += int64(event.Amount)
		m.InTransit -= int64(event.Amount)
	}
	return m
}

func (m Money) plus(other Money) Money {
	return Money{
		m.Accounts + other.Accounts, m.Balances + other.Balances, m.InTransit + other.InTransit,
		m.Deposited + other.Deposited, m.Withdrawn + other.Withdrawn,
	}
}

// move is money of a transfer that came into or out of an account.
type move struct {
	account string
	amount  values.Amount
}

// moves are all moves of a transfer.
type moves struct{ withdrawn, deposited, paidBack []move }

// checkTransfers checks that each transfer has ended, and that its money was moved
// as its end says: once, from the sender to the receiver or back.
func (f *fold) checkTransfers() (wrong []Violation) {
	all := map[values.ID]*moves{}
	of := func(id values.ID) *moves {
		if all[id] == nil {
			all[id] = &moves{}
		}
		return all[id]
	}
	for _, e := range f.entries {
		switch event := e.event.(type) {
		case *accounts.MoneyWithdrawn:
			of(event.Transfer).withdrawn = append(of(event.Transfer).withdrawn, move{e.Stream, event.Amount})
		case *accounts.MoneyDeposited:
			of(event.Transfer).deposited = append(of(event.Transfer).deposited, move{e.Stream, event.Amount})
		case *accounts.MoneyPaidBack:
			of(event.Transfer).paidBack = append(of(event.Transfer).paidBack, move{e.Stream, event.Amount})
		}
	}
	delete(all, "") // customers move this money
	for _, stream := range f.of(transfers.Aggregate) {
		t := f.transfer(stream)
		_, id := f.registry.OfStream(stream)
		is := of(values.ID(id))
		delete(all, values.ID(id))
		from, to := []move{{accounts.Aggregate.Stream(string(t.From)), t.Amount}}, []move{{accounts.Aggregate.Stream(string(t.To)), t.Amount}}
		var want moves
		switch t.Status {
		case "": // every command was refused
		case transfers.Refused:
		case transfers.Completed:
			want = moves{withdrawn: from, deposited: to}
		case transfers.Returned:
			want = moves{withdrawn: from, paidBack: from}
		default:
			wrong = append(wrong, violation("transfer not ended", "%s is %s; its money: %v", stream, t.Status, *is))
			continue
		}
		if !same(is.withdrawn, want.withdrawn) || !same(is.deposited, want.deposited) || !same(is.paidBack, want.paidBack) {
			wrong = append(wrong, violation("money made or lost", "%s is %s, and its money is %v, want %v", stream, t.Status, *is, want))
		}
	}
	for id, is := range all {
		wrong = append(wrong, violation("money made or lost", "there is no transfer %s, and its money is %v", id, *is))
	}
	return wrong
}

func same(a, b []move) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// checkSum adds up all money at the end.
func (f *fold) checkSum() (wrong []Violation) {
	var all Money
	for _, e := range f.entries {
		all = all.after(e)
	}
	var balances int64
	for _, stream := range f.of(accounts.Aggregate) {
		a := f.account(stream)
		balances += a.Balance
		if a.Balance < 0 {
			wrong = append(wrong, violation("money made or lost", "%s has %d", stream, a.Balance))
		}
	}
	if balances != all.Deposited-all.Withdrawn || all.InTransit != 0 {
		wrong = append(wrong, violation("money made or lost", "at the end the accounts have %d, customers brought %d and took %d, and %d are on the way",
			balances, all.Deposited, all.Withdrawn, all.InTransit))
	}
	return wrong
}

// checkMoney compares each answer of GET /stats/money with the log up to the
// position of the answer.
func (f *fold) checkMoney(reads []Read) (wrong []Violation) {
	type at struct {
		offset int64
		money  Money
	}
	sums := map[int32][]at{} // the money of a partition after each event
	for _, e := range f.entries {
		before := Money{}
		if of := sums[e.Partition]; len(of) > 0 {
			before = of[len(of)-1].money
		}
		sums[e.Partition] = append(sums[e.Partition], at{e.Offset, before.after(e)})
	}
	for _, r := range reads {
		if !r.answered() {
			continue
		}
		position, err := eventlog.ParsePosition(r.Position)
		if err != nil {
			wrong = append(wrong, violation("unexpected answer", "the money has position %q: %v", r.Position, err))
			continue
		}
		var want Money
		for partition, end := range position {
			of := sums[partition]
			if n := sort.Search(len(of), func(i int) bool { return of[i].offset >= end }); n > 0 {
				want = want.plus(of[n-1].money)
			}
		}
		if r.Money != want {
			wrong = append(wrong, violation("not the fold of its position", "client %d read %+v at %v, where the log says %+v", r.Client, r.Money, position, want))
		}
		if r.Money.Deposited-r.Money.Withdrawn != r.Money.Balances+r.Money.InTransit {
			wrong = append(wrong, violation("money made or lost", "client %d read %+v at %v", r.Client, r.Money, position))
		}
		if after, err := eventlog.ParsePosition(r.After); r.After != "" && err == nil && !position.Covers(after) {
			wrong = append(wrong, violation("stale", "client %d read the money after %v, and was given %v", r.Client, after, position))
		}
	}
	return wrong
}
