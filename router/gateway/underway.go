package gateway

// UnderWay is how many commands are on their way to Kafka, and how many that
// this gateway took have no outcome yet.
func (g *Gateway) UnderWay() (inFlight, undecided int) {
	return len(g.inFlight), len(g.undecided)
}
