package users

// ReactivateUser asks to put an inactive user to use again.
type ReactivateUser struct {
	ID ID `json:"id"`
}

// Type is "reactivateUser".
func (ReactivateUser) Type() string { return "reactivateUser" }

// Stream is the user's id.
func (c ReactivateUser) Stream() string { return string(c.ID) }

// Decide reactivates an inactive user.
func (c ReactivateUser) Decide(u User) (Event, error) {
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

// Stream is the user's id.
func (e UserReactivated) Stream() string { return string(e.ID) }

// Apply makes the user active.
func (e UserReactivated) Apply(u User) User {
	u.Status = Active
	return u
}
