package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/testing/torture/bank"
	"github.com/millrace/millrace/testing/torture/history"
	"github.com/millrace/millrace/testing/torture/hostile"
)

// bankService is examples/bank, with both aggregates in public topics.
var bankService = service{
	folder: "examples/bank", models: []string{"balances", "statements", "transfers", "history", "commands"},
	poison: "poison-bank", set: map[string]string{"publish": "account,transfer"},
}

// bankReaction is the reaction that a poisoned bank fails in.
const bankReaction = "transferring"

// endIn is how long the bank may make no progress while transfers and timers are
// under way, once all is mended.
const endIn = 30 * time.Second

// tormentBank is torment and judge, of the bank.
func tormentBank(ctx context.Context, c *cluster, n *nemesis, op *operator, o options) (int, error) {
	began := time.Now()
	for _, p := range c.of(commandService) {
		p.forget = c.forgetReactions
	}
	clients := bankClients(c, n.history, o)
	harm, enough := context.WithCancel(ctx)
	if n.quota == nil {
		harm, enough = context.WithTimeout(ctx, o.duration)
	}
	defer enough()
	serve, stop := context.WithCancel(ctx)
	defer stop()
	var traffic, beside sync.WaitGroup
	for _, client := range clients {
		traffic.Go(func() { client.Run(serve) })
	}
	if o.rebuilds {
		beside.Go(func() { op.run(harm, o.pace) })
	}
	if o.hostile {
		beside.Go(func() { n.note(newIntruder(c, o.seed, nil, n.say).runLate(harm)) })
	}
	release := n.openWard(ctx, c, o)
	n.run(harm, o.seed)
	if n.quota == nil {
		<-harm.Done()
	}
	enough()
	beside.Wait()
	n.say("all is mended")
	n.note(c.waitUntilReady(ctx, recoverIn))
	if o.rebuilds {
		op.finish()
	}
	release()
	pause(ctx, 2*time.Second) // of peace, with clients
	stop()
	traffic.Wait()
	release() // a stream that was parked in the last moment
	if err := ctx.Err(); err != nil {
		return 1, err
	}
	return judgeBank(ctx, c, n, op, clients, began)
}

func bankClients(c *cluster, h *recorder, o options) []*bank.Client {
	population, transport := bank.NewPopulation(o.clients), &http.Transport{MaxIdleConnsPerHost: o.clients}
	instances := func(role string) (all []bank.Instance) {
		for _, p := range c.of(role) {
			all = append(all, bank.Instance{Name: p.name, URL: p.url})
		}
		return all
	}
	var all []*bank.Client
	for i := range o.clients {
		all = append(all, &bank.Client{
			Asker:  history.Asker{HTTP: &http.Client{Transport: transport}, Now: h.now},
			Number: i, RNG: rand.New(rand.NewPCG(o.seed, uint64(i))), Population: population,
			Commands: instances(commandService), Queries: instances(readAPI), Note: h.add,
		})
	}
	return all
}

// judgeBank waits until all that is under way has ended, runs all checks, and prints
// tables and violations.
func judgeBank(ctx context.Context, c *cluster, n *nemesis, op *operator, clients []*bank.Client, began time.Time) (int, error) {
	operations, err := n.history.close()
	if err != nil {
		return 1, err
	}
	var all bank.History
	for _, client := range clients {
		all.Commands, all.Reads = append(all.Commands, client.History.Commands...), append(all.Reads, client.History.Reads...)
	}
	report, err := c.checkBank(ctx, &all)
	if err != nil {
		return 1, err
	}
	broken := append(unmended(c, n), report.Violations...)
	if err := c.verify(ctx, 0); err != nil {
		broken = append(broken, history.Violation{Rule: "verify", Detail: err.Error()})
	}
	broken = append(broken, op.wrong...)
	printTable(operations, n.faults)
	report.Print(os.Stdout, len(operations), time.Since(began))
	op.print(os.Stdout)
	return printVerdict(broken), nil
}

// checkBank compares the requests of clients with the topics, once all that is
// under way has ended.
func (c *cluster) checkBank(ctx context.Context, h *bank.History) (report *bank.Report, err error) {
	for until := time.Now().Add(endIn); ; {
		before := report
		log, err := dumpBank(ctx, c)
		if err != nil {
			return nil, err
		}
		report = bank.Check(h, log)
		if before != nil && report.Accepted > before.Accepted {
			until = time.Now().Add(endIn)
		}
		if !report.UnderWay() || time.Now().After(until) || !pause(ctx, 2*time.Second) {
			return report, nil
		}
	}
}

// forgetReactions kills the command services, deletes their groups with all offsets,
// and starts the services again.
func (c *cluster) forgetReactions(ctx context.Context) (err error) {
	for _, p := range c.of(commandService) {
		p.kill()
	}
	// The members leave the groups with their sessions.
	err = errors.New("never tried")
	for until := time.Now().Add(5 * session); err != nil && time.Now().Before(until) && pause(ctx, time.Second); {
		err = deleteGroups(c.brokers())
	}
	for _, p := range c.of(commandService) {
		err = errors.Join(err, p.start())
	}
	return err
}

// deleteGroups deletes the consumer groups of the command service and of its
// reactions.
func deleteGroups(brokers []string) error {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	admin, err := sarama.NewClusterAdmin(brokers, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	groups, err := admin.ListConsumerGroups()
	if err != nil {
		return err
	}
	for group := range groups {
		if strings.Contains(group, "query-service") {
			continue
		}
		if err := admin.DeleteConsumerGroup(group); err != nil && !errors.Is(err, sarama.ErrGroupIDNotFound) {
			return fmt.Errorf("delete group %s: %w", group, err)
		}
	}
	return nil
}

// dumpBank reads topic events and the public topics to their end.
func dumpBank(ctx context.Context, c *cluster) (*bank.Log, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	k, brokers := c.kafka(), c.brokers()
	log := &bank.Log{
		Partitions: partitions, Records: map[int32][]eventlog.Record{}, Appended: map[history.Place]time.Time{}, Hostile: map[history.Place]bool{},
	}
	topics, err := k.EnsureTopics(ctx)
	if err != nil {
		return nil, err
	}
	log.TopicID = topics.EventsID
	reader, err := k.LogReader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }()
	for partition := range int32(partitions) {
		if log.Records[partition], err = readRecords(ctx, reader, partition, 0); err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
	}
	err = readTopic(ctx, brokers, k.Topic(eventlog.TopicEvents), func(r *kgo.Record) error {
		at := history.Place{Partition: r.Partition, Offset: r.Offset}
		log.Appended[at] = r.Timestamp
		if fate, _ := hostile.Mark(r); fate != "" {
			log.Hostile[at] = true
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read topic events: %w", err)
	}
	log.Published = map[string][]bank.Published{}
	for aggregate, topic := range map[string]string{"account": "accounts", "transfer": "transfers"} {
		err := readTopic(ctx, brokers, k.Topic(topic), func(r *kgo.Record) error {
			version, err := strconv.ParseUint(header(r, eventlog.HeaderVersion), 10, 64)
			log.Published[aggregate] = append(log.Published[aggregate], bank.Published{
				Key: string(r.Key), ID: header(r, eventlog.HeaderID), Type: header(r, eventlog.HeaderType), Version: version, Body: r.Value,
			})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read public topic %s: %w", topic, err)
		}
	}
	return log, nil
}
