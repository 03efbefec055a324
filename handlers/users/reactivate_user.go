package users

import "github.com/millrace/millrace/router/aggregate"

// ReactivateUser asks to put an inactive user to use again.
type ReactivateUser struct {
	ID ID `json:"id"`
}

// Type is "reactivateUser".
func (ReactivateUser) Type() string { return "reactivateUser" }

// AggregateID is the user's id.
func (c ReactivateUser) AggregateID() string { return string(c.ID) }

// Decide reactivates an inactive user.
func (c ReactivateUser) Decide(u User) (aggregate.Event[User], error) {
	if err := mustExist(u); err != nil {
		return nil, err
	}
	if u.Status != Inactive {
		return nil, ErrAlreadyActive
	}
	return UserReactivated(c), nil
}

// UserReactivated says that a user is in use again.
type UserReactivated struct {
	ID ID `json:"id"`
}

// Type is "userReactivated".
func (UserReactivated) Type() string { return "userReactivated" }

// AggregateID is the user's id.
func (e UserReactivated) AggregateID() string { return string(e.ID) }

// Apply makes the user active.
func (e UserReactivated) Apply(u User) User {
	u.Status = Active
	return u
}
