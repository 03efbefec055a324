package users

import "github.com/millrace/millrace/router/aggregate"

// CreateUser asks for a new, active user.
type CreateUser struct {
	ID   ID   `json:"id"`
	Name Name `json:"name"`
}

// Type is "createUser".
func (CreateUser) Type() string { return "createUser" }

// AggregateID is the user's id.
func (c CreateUser) AggregateID() string { return string(c.ID) }

// Decide creates the user, once.
func (c CreateUser) Decide(u User) (aggregate.Event[User], error) {
	switch u.Status {
	case Absent:
		return UserCreated(c), nil
	case Deleted:
		return nil, ErrDeleted
	default:
		return nil, ErrExists
	}
}

// UserCreated says that there is a new user.
type UserCreated struct {
	ID   ID   `json:"id"`
	Name Name `json:"name"`
}

// Type is "userCreated".
func (UserCreated) Type() string { return "userCreated" }

// AggregateID is the user's id.
func (e UserCreated) AggregateID() string { return string(e.ID) }

// Apply returns the new user.
func (e UserCreated) Apply(User) User { return User{Name: e.Name, Status: Active} }
