package users

// RenameUser asks for another name.
type RenameUser struct {
	ID   ID   `json:"id"`
	Name Name `json:"name"`
}

// Type is "renameUser".
func (RenameUser) Type() string { return "renameUser" }

// Stream is the user's id.
func (c RenameUser) Stream() string { return string(c.ID) }

// Decide renames a user who exists, active or not.
func (c RenameUser) Decide(u User) (Event, error) {
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

// Stream is the user's id.
func (e UserRenamed) Stream() string { return string(e.ID) }

// Apply gives the user the new name.
func (e UserRenamed) Apply(u User) User {
	u.Name = e.Name
	return u
}
