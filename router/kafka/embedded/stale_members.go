package embedded

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// comeWithin is how long a member of a group may take from being assigned
// partitions to asking for them.
const comeWithin = 6 * time.Second

// staleMembers are, for each group, members that were assigned partitions and
// never asked for them.
//
// The embedded broker waits for heartbeats of a member only from when it could
// answer it. One that was killed while its JoinGroup waited stays in the group
// for good, and so do its partitions, until others share them out anew. So the
// leader is told to, as it is when a member falls silent later.
type staleMembers struct {
	within time.Duration
	groups map[string]*generation
}

func newStaleMembers(within time.Duration) *staleMembers {
	return &staleMembers{within: within, groups: map[string]*generation{}}
}

// generation is one sharing out of a group's partitions.
type generation struct {
	number   int32
	leader   string // who has shared them out, "" before
	assigned []string
	asked    map[string]bool
	deadline time.Time
}

// watch has a cluster ask. It is asked by one request after the other.
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

// synced notes who asks for its partitions and, of the leader, who is to.
func (s *staleMembers) synced(request *kmsg.SyncGroupRequest) {
	g := s.groups[request.Group]
	if g == nil || g.number < request.Generation {
		g = &generation{number: request.Generation, asked: map[string]bool{}}
		s.groups[request.Group] = g
	}
	if g.number > request.Generation {
		return // of one that is over
	}
	g.asked[request.MemberID] = true
	if len(request.GroupAssignment) > 0 {
		g.leader, g.deadline, g.assigned = request.MemberID, time.Now().Add(s.within), nil
		for _, to := range request.GroupAssignment {
			g.assigned = append(g.assigned, to.MemberID)
		}
	}
}

// late says whether the sender is to share the partitions out anew.
func (s *staleMembers) late(beat *kmsg.HeartbeatRequest) bool {
	g := s.groups[beat.Group]
	return g != nil && g.number == beat.Generation && g.leader == beat.MemberID && time.Now().After(g.deadline) &&
		slices.ContainsFunc(g.assigned, func(member string) bool { return !g.asked[member] })
}
