package users

import "github.com/millrace/millrace/router/aggregate"

// DeleteUser asks to end a user for good.
type DeleteUser struct {
	ID ID `json:"id"`
}

// Type is "deleteUser".
func (DeleteUser) Type() string { return "deleteUser" }

// AggregateID is the user's id.
func (c DeleteUser) AggregateID() string { return string(c.ID) }

// Decide deletes a user who exists, active or not.
func (c DeleteUser) Decide(u User) (aggregate.Event[User], error) {
	if err := mustExist(u); err != nil {
		return nil, err
	}
	return UserDeleted(c), nil
}

// UserDeleted says that a user is gone for good.
type UserDeleted struct {
	ID ID `json:"id"`
}

// Type is "userDeleted".
func (UserDeleted) Type() string { return "userDeleted" }

// AggregateID is the user's id.
func (e UserDeleted) AggregateID() string { return string(e.ID) }

// Apply ends the user. The name goes too, because no decision needs the name.
func (e UserDeleted) Apply(User) User { return User{Status: Deleted} }
