// Package aggregatetest tests an aggregate by its rules: given these events,
// when this command comes, then that event.
//
//	given := aggregatetest.Given(t, users.Aggregate, users.UserCreated{ID: "1", Name: "Alice"})
//	given.When(users.RenameUser{ID: "1", Name: "Bob"}).Then(users.UserRenamed{ID: "1", Name: "Bob"})
//	given.When(users.RenameUser{ID: "1", Name: "Alice"}).ThenUnchanged()
//	given.When(users.CreateUser{ID: "1", Name: "Bob"}).ThenRefused(users.ErrExists)
//
// Beside the rule that a test is about, the package checks what the router
// relies on:
//
//   - events and commands are the same once they were written and read as JSON,
//     and so is the state after every event;
//   - a decision that is taken again is the same decision, on the state itself
//     and on the state that was written and read;
//   - neither Decide nor Apply changes a state that is there.
//
// A failure shows the history, the state and the command.
//
// [EventBodies] and [CommandBodies] hold the bodies of all releases against golden
// files.
package aggregatetest
