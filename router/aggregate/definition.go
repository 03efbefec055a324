package aggregate

// Command asks for a change of one aggregate. A command is a pointer to a
// struct whose exported fields have json names. A field is required unless the
// field is a pointer or its json tag has omitempty.
type Command[S any] interface {
	// Type is the command's name on the wire, imperative, as "renameList". The
	// name never changes after a release.
	Type() string
	// AggregateID is the id of the aggregate that the command is about.
	AggregateID() string
	// Decide holds the rule. Decide returns the event that the command makes of
	// this state, nil when there is nothing to change, or a [*Refusal] of the
	// definition. Any other error, and a panic, parks the aggregate's commands
	// for an operator. Decide leaves the state as the state is.
	Decide(S) (Event[S], error)
}

// Event says what happened to one aggregate. An event is a struct, or a pointer
// to a struct, whose exported fields have json names and survive JSON.
type Event[S any] interface {
	// Type is the event's name on the wire, in the past tense, as "listRenamed".
	// Neither the name nor the form of its body changes after a release: see
	// [Upcast].
	Type() string
	// AggregateID is the id of the aggregate that the event happened to.
	AggregateID() string
	// Apply returns the state after the event. The state before stays as the
	// state was, for the router goes on from both: a slice or a map of the state
	// is copied (slices.Clone, maps.Clone) before Apply changes the copy.
	Apply(S) S
}

// Definition is an aggregate as a team defines one. S is the state that
// decisions are made on; its zero value is an aggregate that nothing happened
// to. The router stores S as JSON: S has exported fields only, without embedded
// structs, interfaces and functions.
type Definition[S any] struct {
	// Name is the aggregate's name, as "list". Streams are named
	// "<name>/<id>", so the name never changes after a release.
	Name string
	// Plural is the name of many, as "lists". The read API answers below
	// "/<plural>/<id>".
	Plural string
	// ParseID checks the text of an id, and returns the text as it is stored. The
	// error says what an id must be. Nil takes 1 to 128 characters without
	// control characters, other than one dot and two dots.
	ParseID func(text string) (id string, err error)
	// Commands makes an empty command of each type: a pointer to a new struct.
	Commands []func() Command[S]
	// Internal makes an empty command of each type that reactions alone send: the
	// steps of a process. A client that sends such a command is refused, and the
	// documents for clients don't have the command.
	Internal []func() Command[S]
	// Events makes an empty event of each type: a pointer to a new struct.
	Events []func() Event[S]
	// Version goes up when Apply, S or an upcast makes another state of the
	// events that are there: stored states are made anew then.
	Version int
	// Claims names the values of a state that no other stream may hold at the same
	// time, such as an email address. Nil: nothing is unique. A command whose event would
	// add a value waits until the router has taken the value; the value is given
	// back once the state no longer holds the value. Claims is pure. With another
	// rule of comparison, Version goes up.
	Claims func(S) []Claim
	// Refusals are all refusals that Decide returns or a claim has, by slug and
	// kind. The detail of a returned refusal may say more.
	Refusals []*Refusal
	// Upcasts turn events of earlier releases into today's.
	Upcasts []Upcast
}
