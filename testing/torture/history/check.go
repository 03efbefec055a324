package history

// Report is what the checker found.
type Report struct {
	Violations []Violation
	// Accepted records count, Ignored ones came too late for their slot.
	Accepted, Ignored int
	// Deferred are the accepted ones that say that a command waits.
	Deferred int
	Linear   *Linear
}

// Check compares what clients saw with what is in Kafka in the end.
func Check(operations []Operation, log *Log) *Report {
	f, wrong := foldLog(log)
	all := commandsOf(operations)
	wrong = append(wrong, f.checkCommands(all)...)
	wrong = append(wrong, f.checkRecords(all)...)
	wrong = append(wrong, f.checkSent()...)
	wrong = append(wrong, f.checkOperator(operations)...)
	wrong = append(wrong, checkFault(all, operations)...)
	wrong = append(wrong, f.checkOrder(all)...)
	wrong = append(wrong, f.checkReads(operations)...)
	linear := CheckLinear(operations, f.outcomes)
	wrong = append(wrong, linear.Violations()...)
	r := &Report{Violations: wrong, Ignored: f.ignored, Linear: linear}
	for _, entries := range f.streams {
		r.Accepted += len(entries)
		for i := range entries {
			if isDeferred(&entries[i].Record) {
				r.Deferred++
			}
		}
	}
	return r
}
