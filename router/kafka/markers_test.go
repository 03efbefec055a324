package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"

	"github.com/millrace/millrace/router/eventlog"
)

// transaction produces messages in a transaction of another program, which
// leaves a marker behind the messages.
func transaction(t *testing.T, k *Kafka, commit bool, messages ...*sarama.ProducerMessage) {
	t.Helper()
	config := k.sarama()
	config.Producer.Transaction.ID = "transaction-" + uuid.NewString()
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer(k.Brokers, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = producer.Close() }()
	if err := producer.BeginTxn(); err != nil {
		t.Fatal(err)
	}
	if err := producer.SendMessages(messages); err != nil {
		t.Fatal(err)
	}
	end := producer.CommitTxn
	if !commit {
		end = producer.AbortTxn
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
}

// stray is a message of another program in partition 1 of a topic.
func stray(k *Kafka, topic string) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: k.Topic(topic), Partition: 1, Key: sarama.StringEncoder("stray"), Value: sarama.StringEncoder("stray")}
}

// awaitNewest waits until Kafka's newest offset of partition 1 is want, because a marker is
// written after the end of its transaction.
func awaitNewest(t *testing.T, r *reader, want int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("the newest offset is %d", want), func() bool {
		newest, err := r.newest(t.Context(), 1)
		return err == nil && newest >= want
	})
}

// Offsets without a message at the end of a partition are no end: who reads up
// to the end gets there.
func TestEndIsBehindTheLastMessage(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	log := newLogReader(t, k)
	end := func(want int64) {
		t.Helper()
		for range 2 { // the second answer is remembered
			if got, err := log.End(t.Context(), 1); got != want || err != nil {
				t.Errorf("the end is %d, %v; want %d", got, err, want)
			}
		}
		if got, err := newFinder(t, k).LogEnd(t.Context(), streamIn(1)); got[1] != want || err != nil {
			t.Errorf("the finder's end is %d, %v; want %d", got[1], err, want)
		}
		if want == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := log.Follow(ctx, 1, 0, func(records []eventlog.Record) error {
			if records[len(records)-1].Offset+1 == want {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			t.Errorf("reading up to %d: %v", want, err)
		}
	}

	end(0)
	transaction(t, k, true, stray(k, eventlog.TopicEvents)) // 0, and a marker at 1
	awaitNewest(t, log.reader, 2)
	end(1)
	appendAll(t, k, newRecords(2)...) // 2 and 3
	end(4)
	transaction(t, k, false, stray(k, eventlog.TopicEvents), stray(k, eventlog.TopicEvents)) // 4 and 5, and a marker at 6
	awaitNewest(t, log.reader, 7)
	end(6)
	const more = 10
	for range more { // a message and a marker each
		transaction(t, k, true, stray(k, eventlog.TopicEvents))
	}
	awaitNewest(t, log.reader, 7+2*more)
	end(7 + 2*more - 1)

	// Without messages, the end is the start.
	admin := newAdmin(t, k)
	for first := int64(7 + 2*more - 1); first <= 7+2*more; first++ {
		if err := admin.DeleteRecords(k.Topic(eventlog.TopicEvents), map[int32]int64{1: first}); err != nil {
			t.Fatal(err)
		}
		if got, err := newLogReader(t, k).End(t.Context(), 1); got != first || err != nil {
			t.Errorf("only a marker is left: the end is %d, %v; want %d", got, err, first)
		}
	}
}

// bareMarkers ends transactions without a message.
func bareMarkers(t *testing.T, k *Kafka, topic string, n int) {
	t.Helper()
	client, err := sarama.NewClient(k.Brokers, k.sarama())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	id := "transaction-" + uuid.NewString()
	var coordinator *sarama.Broker
	var producer *sarama.InitProducerIDResponse
	eventually(t, "the coordinator of the transaction is known", func() bool { // not at once on a new cluster
		if err := client.RefreshTransactionCoordinator(id); err != nil {
			return false
		}
		if coordinator, err = client.TransactionCoordinator(id); err != nil {
			return false
		}
		producer, err = coordinator.InitProducerID(&sarama.InitProducerIDRequest{Version: 2, TransactionalID: &id, TransactionTimeout: time.Minute})
		return err == nil && producer.Err == sarama.ErrNoError
	})
	for range n {
		eventually(t, "the transaction before has ended", func() bool {
			added, err := coordinator.AddPartitionsToTxn(&sarama.AddPartitionsToTxnRequest{
				TransactionalID: id, ProducerID: producer.ProducerID, ProducerEpoch: producer.ProducerEpoch,
				TopicPartitions: map[string][]int32{k.Topic(topic): {1}},
			})
			return err == nil && added.Errors[k.Topic(topic)][0].Err == sarama.ErrNoError
		})
		ended, err := coordinator.EndTxn(&sarama.EndTxnRequest{TransactionalID: id, ProducerID: producer.ProducerID, ProducerEpoch: producer.ProducerEpoch, TransactionResult: true})
		if err != nil || ended.Err != sarama.ErrNoError {
			t.Fatal(err, ended)
		}
	}
}

// Many markers in a row don't hide the last message.
func TestEndBeforeManyMarkers(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	log := newLogReader(t, k)
	appendAll(t, k, newRecords(2)...)
	const markers = 9
	bareMarkers(t, k, eventlog.TopicEvents, markers)
	awaitNewest(t, log.reader, 2+markers)
	for newest := int64(2 + markers); newest > 0; newest-- {
		if got, err := endBefore(t.Context(), log.client, log.topic, 1, newest); got != min(newest, 2) || err != nil {
			t.Errorf("before %d the end is %d, %v", newest, got, err)
		}
	}
}

// Everything that reads up to the end of a topic ends although a marker is the
// last.
func TestReadersPassMarkers(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	dead := stray(k, eventlog.TopicDeadLetters)
	transaction(t, k, true, dead, stray(k, eventlog.TopicCommands), stray(k, eventlog.TopicEvents))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	commands, err := k.CommandReader()
	if err != nil {
		t.Fatal(err)
	}
	closing(t, commands)
	awaitNewest(t, commands.reader, 2)

	letters := 0
	if err := k.ReadDeadLetters(ctx, func(DeadLetter) error { letters++; return nil }); err != nil || letters != 1 {
		t.Errorf("%d dead letters, %v", letters, err)
	}
	if first, end, err := commands.Range(ctx, 1); first != 0 || end != 1 || err != nil {
		t.Errorf("the commands are from %d to %d, %v", first, end, err)
	}
	if n, err := k.TrimCommands(ctx, 1, time.Now().Add(time.Hour), func(eventlog.Envelope) bool { return true }); n != 0 || err != nil {
		t.Errorf("trimmed %d, %v: the stray message is no command", n, err)
	}
	if found, err := newFinder(t, k).Undecided(ctx, streamIn(1), "c1"); found || err != nil {
		t.Errorf("a finder says %t, %v", found, err)
	}
	// All readers of a log tail pass the marker, and get the next record.
	f := tailFrom(t, newLogTail(t, k).Reader(newLogReader(t, k)), 0)
	if got := receive(t, f.records, "the stray message"); got[0].Offset != 0 {
		t.Errorf("offset %d", got[0].Offset)
	}
	appendAll(t, k, newRecords(1)...)
	if got := receive(t, f.records, "the record behind the marker"); got[0].Offset != 2 {
		t.Errorf("offset %d", got[0].Offset)
	}
}
