package users

import "github.com/millrace/millrace/router/aggregate"

// ChangeEmail asks for another email address, or for none. No two users have the
// same address.
type ChangeEmail struct {
	ID    ID    `json:"id"`
	Email Email `json:"email"`
}

// Type is "changeEmail".
func (ChangeEmail) Type() string { return "changeEmail" }

// AggregateID is the user's id.
func (c ChangeEmail) AggregateID() string { return string(c.ID) }

// Decide changes the address of a user who exists, active or not. The router
// makes sure that no other user has the address: see [Definition].
func (c ChangeEmail) Decide(u User) (aggregate.Event[User], error) {
	if err := mustExist(u); err != nil {
		return nil, err
	}
	if u.Email == c.Email {
		return nil, nil
	}
	return UserEmailChanged(c), nil
}

// UserEmailChanged says that a user has another email address now, or none.
type UserEmailChanged struct {
	ID    ID    `json:"id"`
	Email Email `json:"email"`
}

// Type is "userEmailChanged".
func (UserEmailChanged) Type() string { return "userEmailChanged" }

// AggregateID is the user's id.
func (e UserEmailChanged) AggregateID() string { return string(e.ID) }

// Apply gives the user the new address.
func (e UserEmailChanged) Apply(u User) User {
	u.Email = e.Email
	return u
}
