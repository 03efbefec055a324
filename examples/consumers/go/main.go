// The consumer keeps the names of all users in memory. It reads the public topic
// from its beginning, with watermill-kafka as it is.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// user is what this team needs of a user.
type user struct {
	version int // of the last event
	name    string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run consumes the topic until Ctrl-C, or until so many events have come.
func run() error {
	if len(os.Args) != 4 {
		return fmt.Errorf("usage: %s BROKER TOPIC EVENTS", os.Args[0])
	}
	events, err := strconv.Atoi(os.Args[3])
	if err != nil {
		return err
	}
	config := kafka.DefaultSaramaSubscriberConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers:               []string{os.Args[1]},
		Unmarshaler:           kafka.DefaultMarshaler{},
		OverwriteSaramaConfig: config,
	}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	defer subscriber.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	messages, err := subscriber.Subscribe(ctx, os.Args[2])
	if err != nil {
		return err
	}
	users := map[string]*user{}
	for msg := range messages {
		isNew, err := take(users, msg)
		if err != nil {
			return err
		}
		msg.Ack()
		if isNew {
			events--
		}
		if events == 0 {
			break
		}
	}
	return nil
}

// take applies an event, unless the event was there before.
func take(users map[string]*user, msg *message.Message) (isNew bool, err error) {
	stream := msg.Metadata["ce_subject"]
	version, err := strconv.Atoi(msg.Metadata["ce_version"])
	if err != nil {
		return false, err
	}
	u := users[stream]
	if u == nil {
		u = new(user)
		users[stream] = u
	}
	if version <= u.version {
		return false, nil // a repeat
	}
	u.version = version
	switch msg.Metadata["ce_type"] {
	case "userCreated", "userRenamed":
		var body struct{ Name string }
		if err := json.Unmarshal(msg.Payload, &body); err != nil {
			return false, err
		}
		u.name = body.Name
	case "userDeleted":
		u.name = ""
	}
	fmt.Printf("%s, version %d: %s %q\n", stream, version, msg.Metadata["ce_type"], u.name)
	return true, nil
}
