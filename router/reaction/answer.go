package reaction

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/logging"
)

// Answer asks React for the commands of a record, and checks the commands: the
// registry must have their types, and the aggregates must accept their ids. A
// panic of React is a [*PanicError].
func (r *Reaction) Answer(registry *aggregate.Registry, record Record) (commands []Command, err error) {
	defer func() {
		if value := recover(); value != nil {
			commands, err = nil, &PanicError{value, logging.Stack("/router/reaction.(*Reaction).Answer")}
		}
	}()
	commands, err = r.React(record)
	if err != nil {
		return nil, err
	}
	if len(commands) > MaxCommands {
		return nil, fmt.Errorf("%d commands: a record causes at most %d", len(commands), MaxCommands)
	}
	for i := range commands {
		if err := commands[i].check(registry); err != nil {
			return nil, fmt.Errorf("command %d: %w", i, err)
		}
	}
	return commands, nil
}

func (c *Command) check(registry *aggregate.Registry) error {
	v := reflect.ValueOf(c.Command)
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return errors.New("the command is nil")
	}
	t := registry.OfCommand(c.Command.Type())
	if t == nil {
		return fmt.Errorf("no aggregate has a command %q", c.Command.Type())
	}
	switch id, err := t.ParseID(c.Command.AggregateID()); {
	case err != nil:
		return fmt.Errorf("%s: the id %q %w", c.Command.Type(), c.Command.AggregateID(), err)
	case id != c.Command.AggregateID():
		return fmt.Errorf("%s: the id %q must be written as %q", c.Command.Type(), c.Command.AggregateID(), id)
	}
	return nil
}

// Stream is the name of the stream that a checked command goes to.
func (c *Command) Stream(registry *aggregate.Registry) string {
	return registry.OfCommand(c.Command.Type()).Stream(c.Command.AggregateID())
}

// PanicError is the error of a reaction that panicked.
type PanicError struct {
	Value any
	// Stack is the stack within React, without goroutines, addresses and folders.
	Stack string
}

// Error says what React panicked with.
func (e *PanicError) Error() string { return fmt.Sprintf("the reaction panicked: %v", e.Value) }
