// Package reactiontest tests a reaction by given and then: when this happens,
// the reaction sends these commands.
//
//	of := reactiontest.Of(t, transfers.Reaction, transfers.Aggregate, accounts.Aggregate)
//	of.Given(transfers.TransferRequested{ID: "1", From: "a", To: "b", Cents: 100}).
//		Then(accounts.Withdraw{ID: "a", Cents: 100, Transfer: "1"})
//	of.GivenRefused(accounts.Withdraw{ID: "a", Cents: 100, Transfer: "1"}, accounts.ErrTooLittle).
//		Then(transfers.FailTransfer{ID: "1"})
//	of.Given(accounts.AccountOpened{ID: "a"}).ThenNothing()
//
// Beside the rule that a test is about, the package checks what the router
// relies on: events and commands are the same once they were written and read
// as JSON, an answer that is asked for again is the same answer, and React
// doesn't change the record.
package reactiontest
