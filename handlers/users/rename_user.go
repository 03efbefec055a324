package users

import "github.com/millrace/millrace/router/aggregate"

// RenameUser asks for another name.
type RenameUser struct {
	ID   ID   `json:"id"`
	Name Name `json:"name"`
}

// Type is "renameUser".
func (RenameUser) Type() string { return "renameUser" }

// AggregateID is the user's id.
func (c RenameUser) AggregateID() string { return string(c.ID) }

// Decide renames a user who exists, active or not.
func (c RenameUser) Decide(u User) (aggregate.Event[User], error) {
	if err := mustExist(u); err != nil {
		return nil, err
	}
	if u.Name == c.Name {
		return nil, nil
	}
	return UserRenamed(c), nil
}

// UserRenamed says that a user has another name now.
type UserRenamed struct {
	ID   ID   `json:"id"`
	Name Name `json:"name"`
}

// Type is "userRenamed".
func (UserRenamed) Type() string { return "userRenamed" }

// AggregateID is the user's id.
func (e UserRenamed) AggregateID() string { return string(e.ID) }

// Apply gives the user the new name.
func (e UserRenamed) Apply(u User) User {
	u.Name = e.Name
	return u
}
