package users

// DeactivateUser asks to put a user out of use, for now.
type DeactivateUser struct {
	ID ID `json:"id"`
}

// Type is "deactivateUser".
func (DeactivateUser) Type() string { return "deactivateUser" }

// Stream is the user's id.
func (c DeactivateUser) Stream() string { return string(c.ID) }

// Decide deactivates an active user.
func (c DeactivateUser) Decide(u User) (Event, error) {
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

// Stream is the user's id.
func (e UserDeactivated) Stream() string { return string(e.ID) }

// Apply makes the user inactive.
func (e UserDeactivated) Apply(u User) User {
	u.Status = Inactive
	return u
}
