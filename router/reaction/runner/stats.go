package runner

// Stats has the numbers of one reaction in the partitions of this process.
type Stats struct {
	Reaction string
	// Lag is the number of records that the reaction has not answered.
	Lag int64
	// Parked counts the streams that wait for an operator, and Open the parked
	// streams and those that go on.
	Parked, Open int
}

// Stats returns the numbers of all reactions, in their order.
func (r *Runner) Stats() []Stats {
	all := make([]Stats, len(r.Reactions))
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.Reactions {
		all[i].Reaction = r.Reactions[i].Name
	}
	for _, runs := range r.runs {
		for i, one := range runs {
			one.count(&all[i])
		}
	}
	return all
}

// count adds the numbers of a partition.
func (r *run) count(s *Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.known.Started && !r.reaction.FromBeginning {
		return
	}
	s.Lag += max(0, r.States.FoldedTo(r.partition)-r.progress().Next)
	s.Open += len(r.known.Open)
	for _, o := range r.known.Open {
		if o.Parked {
			s.Parked++
		}
	}
}
