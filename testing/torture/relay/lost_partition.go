package relay

import (
	"encoding/binary"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/router/eventlog"
)

// lostPartition is the partition of topic commands that has no leader for the
// clients of a relay, while partitions beside are well: the leader is down, and no
// replica in sync is left. Clients can't send to the partition.
type lostPartition struct {
	mu     sync.Mutex
	is     bool
	number int32
	topic  [16]byte // the id of topic commands: newer clients name no topic in requests
}

// nowhere is added to the number of the lost partition: a broker has no such
// partition, and writes nothing.
const nowhere = 1 << 20

func (l *lostPartition) lose(number int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.is, l.number = true, number
}

func (l *lostPartition) find() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.is = false
}

// learn reads the id of topic commands.
func (l *lostPartition) learn(answer *kmsg.MetadataResponse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, topic := range answer.Topics {
		if topic.Topic != nil && *topic.Topic == eventlog.TopicCommands {
			l.topic = topic.TopicID
		}
	}
}

// ask is a request to produce that goes nowhere with all for the lost partition;
// nil for a request that has nothing for the lost partition.
func (l *lostPartition) ask(frame []byte, version int16) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.is {
		return nil, nil
	}
	request := kmsg.NewPtrProduceRequest()
	request.SetVersion(version)
	if len(frame) < 10 {
		return nil, errShort
	}
	head := 10 + max(0, int(int16(binary.BigEndian.Uint16(frame[8:])))) // behind the client's id
	if request.IsFlexible() {
		head++ // no tags
	}
	if len(frame) < head {
		return nil, errShort
	}
	if err := request.ReadFrom(frame[head:]); err != nil {
		return nil, err
	}
	lost := false
	for _, topic := range request.Topics {
		if topic.Topic != eventlog.TopicCommands && (topic.TopicID == [16]byte{} || topic.TopicID != l.topic) {
			continue
		}
		for i := range topic.Partitions {
			if p := &topic.Partitions[i]; p.Partition == l.number {
				p.Partition += nowhere
				lost = true
			}
		}
	}
	if !lost {
		return nil, nil
	}
	return request.AppendTo(frame[:head:head]), nil
}

// answer says of the lost partition that the broker is not the leader.
func (l *lostPartition) answer(answer *kmsg.ProduceResponse) {
	for _, topic := range answer.Topics {
		for i := range topic.Partitions {
			if p := &topic.Partitions[i]; p.Partition >= nowhere {
				p.Partition -= nowhere
				p.ErrorCode, p.ErrorMessage = kerr.NotLeaderForPartition.Code, nil
			}
		}
	}
}
