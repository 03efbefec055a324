package protocol

// later returns the scenarios with scheduled commands that processors follow.
func later() []*Scenario {
	return []*Scenario{
		{
			Name: "later",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1},
				{Verb: Rename, ID: 2, Name: 2, NotBefore: 2},
				{Verb: Rename, ID: 3, Name: 3, NotBefore: 1},
				{Verb: Rename, ID: 4, Name: 4, At: 1, NotBefore: 1},
			},
			Handlers: [2]Binary{today, today},
			Until:    2,
			window:   2,
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1, jumps: 1},
		},
		{
			Name: "later, in an upgrade",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1},
				{Verb: Rename, ID: 2, Name: 2, NotBefore: 1},
				{Verb: Rename, ID: 3, Name: 3, Expects: 2},
			},
			Handlers: [2]Binary{today, tomorrow},
			Until:    1,
			window:   2,
			faults:   faults{takeOvers: 2, crashes: 1, failures: 1, resets: 1, jumps: 1},
		},
		{
			Name: "later, by version",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1},
				{Verb: Rename, ID: 2, Name: 2, NotBefore: 1, Expects: 2},
				{Verb: Rename, ID: 3, Name: 3},
			},
			Handlers: [2]Binary{today, today},
			Until:    1,
			window:   2,
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1, jumps: 1},
		},
		{
			Name: "later, repeated",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1, NotBefore: 1},
				{Verb: Create, ID: 2, Name: 2},
				{Verb: Rename, ID: 1, Name: 1},
				{Verb: Create, ID: 2, Name: 2},
			},
			Handlers: [2]Binary{forgetful, forgetful},
			Until:    1,
			window:   2,
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
		},
		{
			Name: "later, cancelled",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1, NotBefore: 1},
				{Verb: Cancel, ID: 2, Cancels: 1},
				{Verb: Cancel, ID: 3, Cancels: 1},
				{Verb: Create, ID: 4, Name: 4},
			},
			Handlers: [2]Binary{today, today},
			Until:    1,
			window:   2,
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1, jumps: 1},
		},
		{
			Name: "later, parked",
			Commands: []Command{
				{Verb: Touchy, ID: 1, Name: 1},
				{Verb: Rename, ID: 2, Name: 2, NotBefore: 1},
				{Verb: Rename, ID: 3, Name: 3},
				{Verb: Requeue, ID: 4},
				{Verb: Cancel, ID: 5, Cancels: 2},
			},
			Handlers: [2]Binary{today, tomorrow},
			Until:    1,
			window:   2,
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
		},
		{
			Name: "later, and unknown events",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1},
				{Verb: Rename, ID: 2, Name: 2, NotBefore: 1},
				{Verb: Rename, ID: 3, Name: 3},
			},
			Handlers: [2]Binary{{Remember: 3, Blind: true}, tomorrow},
			Until:    1,
			window:   2,
			faults:   faults{takeOvers: 2, crashes: 1, failures: 1, resets: 1, jumps: 1},
		},
		{
			Name: "later, unknown type",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1},
				{Verb: Novel, ID: 2, Name: 2, NotBefore: 1},
				{Verb: Rename, ID: 3, Name: 3},
			},
			Handlers: [2]Binary{today, tomorrow},
			Until:    1,
			window:   2,
			faults:   faults{takeOvers: 2, crashes: 1, failures: 1, resets: 1, jumps: 1},
		},
		{
			Name: "later, by a reaction",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1, Cause: 1, NotBefore: 1},
				{Verb: Create, ID: 2, Name: 2, Cause: 2},
				{Verb: Create, ID: 1, Name: 1, Cause: 1, NotBefore: 1},
				{Verb: Cancel, ID: 3, Cancels: 1, Cause: 3},
			},
			Handlers: [2]Binary{forgetful, forgetful},
			Until:    1,
			window:   2,
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1, jumps: 1},
		},
		{
			Name: "a claim, later",
			Commands: []Command{
				{Verb: Unique, ID: 1, Name: 1, NotBefore: 1},
				{Verb: Create, ID: 2, Name: 2},
				{Verb: Take, ID: 3, Cause: 1, Answers: 1},
				{Verb: Rename, ID: 4, Name: 4},
			},
			Handlers: [2]Binary{today, today},
			Until:    1,
			window:   2,
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1, jumps: 1},
		},
	}
}
