package users

import "github.com/millrace/millrace/router/aggregate"

// DeactivateUser asks to put a user out of use, for now.
type DeactivateUser struct {
	ID ID `json:"id"`
}

// Type is "deactivateUser".
func (DeactivateUser) Type() string { return "deactivateUser" }

// AggregateID is the user's id.
func (c DeactivateUser) AggregateID() string { return string(c.ID) }

// Decide deactivates an active user.
func (c DeactivateUser) Decide(u User) (aggregate.Event[User], error) {
	if err := mustExist(u); err != nil {
		return nil, err
	}
	if u.Status != Active {
		return nil, ErrAlreadyInactive
	}
	return UserDeactivated(c), nil
}

// UserDeactivated says that a user was put out of use.
type UserDeactivated struct {
	ID ID `json:"id"`
}

// Type is "userDeactivated".
func (UserDeactivated) Type() string { return "userDeactivated" }

// AggregateID is the user's id.
func (e UserDeactivated) AggregateID() string { return string(e.ID) }

// Apply makes the user inactive.
func (e UserDeactivated) Apply(u User) User {
	u.Status = Inactive
	return u
}
