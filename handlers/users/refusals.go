package users

import "github.com/millrace/millrace/router/aggregate"

// The refusals of users.
var (
	ErrExists          = &aggregate.Refusal{Slug: "user-exists", Detail: "the user exists already"}
	ErrNotFound        = &aggregate.Refusal{Slug: "user-not-found", Detail: "there is no such user", Kind: aggregate.NotFound}
	ErrDeleted         = &aggregate.Refusal{Slug: "user-deleted", Detail: "the user is deleted, and the id is never used again", Kind: aggregate.Gone}
	ErrAlreadyInactive = &aggregate.Refusal{Slug: "user-already-inactive", Detail: "the user is inactive already"}
	ErrAlreadyActive   = &aggregate.Refusal{Slug: "user-already-active", Detail: "the user is active already"}
	ErrEmailTaken      = &aggregate.Refusal{Slug: "email-taken", Detail: "another user has this email address"}
)

// mustExist refuses a command about an absent or deleted user.
func mustExist(u User) error {
	switch u.Status {
	case Absent:
		return ErrNotFound
	case Deleted:
		return ErrDeleted
	default:
		return nil
	}
}
