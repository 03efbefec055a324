package protocol

import "slices"

func (p processor) send(r digest) {
	if p.sent != nil {
		p.sent(r)
	}
	p.launch(flight{r, flying})
}

func (p processor) launch(f flight) {
	free := slices.IndexFunc(p.air[:], func(f flight) bool { return f.record == 0 })
	p.air[free] = f // a panic here says that maxAir is too small
}

// acked reports whether the handler has heard that Kafka holds a job's record.
func (p processor) acked(j *job) bool {
	return j.record > 0 && !j.failed && !slices.ContainsFunc(p.air[:], func(f flight) bool {
		return f.record == j.record && f.state != astray
	})
}

// delivered is called when Kafka holds a record. In a sound protocol, delivered
// does nothing.
func (p processor) delivered(r digest) {
	if p.off(tellReadBack) {
		p.tell(r)
	}
	if p.off(markReadBack) {
		p.mark()
	}
}

// appendFailed is called when Kafka may hold a record, or not. The records of
// jobs behind may be in the log before the record, where the gate ignores them.
// So the jobs behind go again even if the record itself counts in the end.
func (p processor) appendFailed(r digest) {
	user := p.records[r].user
	speculation := p.speculation(user)
	at := slices.IndexFunc(speculation, func(j *job) bool { return j.record == r })
	switch {
	case len(speculation) == 0, at < 0 && !p.contains(p.folded, r):
	case at < 0 && p.off(retryBehind):
	case at >= 0 && p.off(retry):
		speculation[at].done = true
		for _, j := range slices.Delete(speculation, at, at+1) {
			p.decide(j)
		}
		p.mark()
	default:
		speculation[max(at, 0)].failed = true
		p.retry = true
	}
}

// sendAgain sends the failed records, and the records of all jobs behind.
func (p processor) sendAgain() {
	p.retry = false
	for user := range uint8(users) {
		again := false
		for _, j := range p.speculation(user) {
			again = j.failed || again && !p.off(retryDependent)
			if again && j.record > 0 {
				j.failed = false
				p.send(j.record)
			}
		}
	}
}
