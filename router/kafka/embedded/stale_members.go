package embedded

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// comeWithin is the time in which a member must ask for its assigned partitions.
const comeWithin = 6 * time.Second

// staleMembers finds group members that never ask for their assigned
// partitions.
//
// kfake expects heartbeats from a member only after the answer to the member's
// JoinGroup. A member that is killed while its JoinGroup waits stays in the
// group for good, and keeps partitions until the next rebalance. So staleMembers
// answers the leader's heartbeat with a rebalance, as kfake does when a member
// falls silent later.
type staleMembers struct {
	within time.Duration
	groups map[string]*generation
}

func newStaleMembers(within time.Duration) *staleMembers {
	return &staleMembers{within: within, groups: map[string]*generation{}}
}

// generation is one assignment of a group's partitions.
type generation struct {
	number   int32
	leader   string          // id of the member that assigned, "" before
	assigned []string        // ids of members with partitions
	asked    map[string]bool // by member id
	deadline time.Time
}

// watch adds the callbacks to a cluster. kfake calls them one after the other.
func (s *staleMembers) watch(cluster *kfake.Cluster) {
	cluster.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.SyncGroup}, Count: -1, When: func(request kmsg.Request) bool {
			if sync, ok := request.(*kmsg.SyncGroupRequest); ok {
				s.synced(sync)
			}
			return false
		}},
		kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Count: -1, Err: kerr.RebalanceInProgress, When: func(request kmsg.Request) bool {
			beat, ok := request.(*kmsg.HeartbeatRequest)
			return ok && s.late(beat)
		}},
	)
}

// synced notes the member that asks for its partitions and, from the leader's
// request, the members with partitions.
func (s *staleMembers) synced(request *kmsg.SyncGroupRequest) {
	g := s.groups[request.Group]
	if g == nil || g.number < request.Generation {
		g = &generation{number: request.Generation, asked: map[string]bool{}}
		s.groups[request.Group] = g
	}
	if g.number > request.Generation {
		return // a request of a former generation
	}
	g.asked[request.MemberID] = true
	if len(request.GroupAssignment) > 0 {
		g.leader, g.deadline, g.assigned = request.MemberID, time.Now().Add(s.within), nil
		for _, to := range request.GroupAssignment {
			g.assigned = append(g.assigned, to.MemberID)
		}
	}
}

// late reports whether the sender is the leader and must rebalance, because a
// member is stale.
func (s *staleMembers) late(beat *kmsg.HeartbeatRequest) bool {
	g := s.groups[beat.Group]
	return g != nil && g.number == beat.Generation && g.leader == beat.MemberID && time.Now().After(g.deadline) &&
		slices.ContainsFunc(g.assigned, func(member string) bool { return !g.asked[member] })
}
