// Tasks that threads share out among themselves.
#include "engine/work_shares.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "check.h"

namespace {

using namespace voxpod;

TEST(work_shares_test,
     "every task is taken once, by its own thread in order, by others from the end") {
  WorkShares shares(10, 2);
  EXPECT_EQUAL(shares.take(0), 0);
  EXPECT_EQUAL(shares.take(0), 1);
  EXPECT_EQUAL(shares.take(1), 5);
  for (int64_t task = 2; task < 5; ++task) EXPECT_EQUAL(shares.take(0), task);
  EXPECT_EQUAL(shares.take(0), 9);
  EXPECT_EQUAL(shares.take(0), 8);
  EXPECT_EQUAL(shares.take(1), 6);
  EXPECT_EQUAL(shares.take(0), 7);
  EXPECT_EQUAL(shares.take(0), -1);
  EXPECT_EQUAL(shares.take(1), -1);
}

TEST(work_shares_test, "more threads than tasks, and none at all") {
  WorkShares shares(2, 3);
  std::vector<int> taken(2);
  for (int64_t thread = 0; thread < 3; ++thread) {
    const int64_t task = shares.take(thread);
    if (task >= 0) ++taken[static_cast<size_t>(task)];
  }
  EXPECT_EQUAL(taken[0], 1);
  EXPECT_EQUAL(taken[1], 1);
  WorkShares none(0, 2);
  EXPECT_EQUAL(none.take(0), -1);
}

TEST(work_shares_test, "threads that take at the same time share no task and forget none") {
  constexpr int64_t kTasks = 200000;
  for (int round = 0; round < 5; ++round) {
    WorkShares shares(kTasks, 4);
    std::vector<std::atomic<int>> taken(kTasks);
    std::vector<std::thread> threads;
    for (int64_t i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        for (int64_t task = shares.take(i); task >= 0; task = shares.take(i)) {
          taken[static_cast<size_t>(task)].fetch_add(1);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    int64_t wrong = 0;
    for (const auto& count : taken) wrong += count != 1;
    EXPECT_EQUAL(wrong, 0);
  }
}

TEST(work_shares_test, "a thread that is held up keeps only its present task") {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  std::atomic<int64_t> done{0};
  std::atomic<bool> helped{false};
  share_work(100, [&] {
    return [&](int64_t task) {
      if (task == 0) {
        // Until the other thread has done all the rest; ten seconds, if it never does.
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (done < 99 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
        helped = done == 99;
      }
      ++done;
    };
  });
  at::set_num_threads(before);
  EXPECT_EQUAL(done.load(), 100);
  EXPECT(helped.load());
}

TEST(work_shares_test, "a range is cut into pieces of the grain") {
  std::vector<std::atomic<int>> seen(1003);
  std::atomic<int64_t> longest{0};
  share_range(1003, 10, [&](int64_t begin, int64_t end) {
    if (end - begin > longest) longest = end - begin;
    for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
  });
  EXPECT_EQUAL(longest.load(), 10);
  for (const auto& count : seen) EXPECT_EQUAL(count.load(), 1);
}

}  // namespace
