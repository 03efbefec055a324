package users

// Refusal is a command's "no": the rule that was broken.
type Refusal struct {
	// Slug names the rule on the wire and never changes, as "user-not-found".
	Slug string
	// Detail says it in words.
	Detail string
}

func (r *Refusal) Error() string { return r.Detail }

// The refusals of this domain.
var (
	ErrExists          = &Refusal{"user-exists", "the user exists already"}
	ErrNotFound        = &Refusal{"user-not-found", "there is no such user"}
	ErrDeleted         = &Refusal{"user-deleted", "the user is deleted, and the id is never used again"}
	ErrAlreadyInactive = &Refusal{"user-already-inactive", "the user is inactive already"}
	ErrAlreadyActive   = &Refusal{"user-already-active", "the user is active already"}
)

// Refusals are all of them.
var Refusals = []*Refusal{ErrExists, ErrNotFound, ErrDeleted, ErrAlreadyInactive, ErrAlreadyActive}

// mustExist refuses every command about a user who is not there.
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
