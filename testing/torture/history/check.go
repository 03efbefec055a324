package history

import "github.com/millrace/millrace/testing/torture/hostile"

// Report is the result of the checker.
type Report struct {
	Violations []Violation
	// Accepted records count. Ignored records came too late for their sequence
	// number.
	Accepted, Ignored int
	// Deferred is the number of accepted records of deferred commands.
	Deferred int
	// Hostile are the numbers of hostile records by their right end.
	Hostile map[hostile.Fate]int
	Linear  *Linear
}

// Check compares the operations of the clients with the topics of Kafka.
func Check(operations []Operation, log *Log) *Report {
	f, wrong := foldLog(log)
	all := commandsOf(operations)
	wrong = append(wrong, f.checkCommands(all)...)
	wrong = append(wrong, f.checkRecords(all)...)
	wrong = append(wrong, f.checkSent()...)
	wrong = append(wrong, f.checkHostile()...)
	wrong = append(wrong, f.checkOperator(operations)...)
	wrong = append(wrong, checkFault(all, operations)...)
	wrong = append(wrong, f.checkOrder(all)...)
	wrong = append(wrong, f.checkReads(operations)...)
	linear := CheckLinear(operations, f.outcomes)
	wrong = append(wrong, linear.Violations()...)
	r := &Report{Violations: wrong, Ignored: f.ignored, Hostile: map[hostile.Fate]int{}, Linear: linear}
	for _, of := range []map[Place]HostileRecord{log.HostileCommands, log.HostileRecords} {
		for _, record := range of {
			r.Hostile[record.Fate]++
		}
	}
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
