use super::*;
use crate::core::native::download::state::tests::wish;

const CONTENT: ContentId = ContentId([1; 32]);

#[test]
fn only_so_many_are_active() {
    let mut downloader = Downloader::new(1, 100);
    let other = ContentId([2; 32]);
    assert!(downloader.add(CONTENT, wish("a")) && !downloader.add(CONTENT, wish("a")));
    assert!(downloader.add(other, wish("a")));
    assert_eq!(downloader.activate(Time::ZERO), Some(CONTENT));
    assert_eq!(downloader.activate(Time::ZERO), None);
    downloader.finish(&CONTENT);
    assert_eq!(downloader.activate(Time::ZERO), Some(other));
    downloader.finish(&other);
    assert!(downloader.all_done());
    assert!(downloader.add(CONTENT, wish("a")));
    downloader.check(100);
}

#[test]
fn names_of_one_content_follow_each_other() {
    let mut downloader = Downloader::new(2, 100);
    let mut names = Vec::new();
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        assert_eq!(downloader.add_or_follow(CONTENT, wish(name)), number == 0);
    }
    // A name that is fetched already is not fetched once more.
    for name in ["c", "a"] {
        assert!(!downloader.add_or_follow(CONTENT, wish(name)));
    }
    assert_eq!(downloader.follower_count(&CONTENT), 2);
    while downloader.activate(Time::ZERO).is_some() {
        assert_eq!(downloader.activate(Time::ZERO), None, "one at a time");
        names.push(downloader.get(&CONTENT).unwrap().wish.name.to_string());
        downloader.check(100);
        downloader.finish(&CONTENT);
    }
    assert_eq!(names, ["a", "b", "c"]);
    assert!(downloader.all_done());
}

#[test]
fn what_is_being_published_gives_way_to_the_next() {
    let mut downloader = Downloader::new(1, 100);
    let count = 2 + PUBLISHING_MAX;
    let content =
        |number: usize| ContentId([(number >> 8) as u8, number as u8].repeat(16).try_into().unwrap());
    for number in 0..count {
        assert!(downloader.add(content(number), wish("a")));
    }
    assert!(!downloader.publish(&content(0)));
    for number in 0..PUBLISHING_MAX {
        assert_eq!(downloader.activate(Time::ZERO), Some(content(number)));
        assert_eq!(downloader.activate(Time::ZERO), None);
        downloader.get_mut(&content(number)).unwrap().phase = Phase::Running;
        assert!(downloader.publish(&content(number)));
        downloader.check(100);
    }
    // So many wait for the disk: the next one waits for them.
    assert_eq!(downloader.activate(Time::ZERO), None);
    downloader.finish(&content(0));
    assert_eq!(downloader.activate(Time::ZERO), Some(content(PUBLISHING_MAX)));
    downloader.check(100);
}

#[test]
fn the_pool_bounds_what_is_asked_for() {
    let mut downloader = Downloader::new(1, 100);
    assert!(downloader.reserve(60) && !downloader.reserve(60));
    let buffer = downloader.take_buffer(60);
    downloader.free_buffer(buffer);
    downloader.free_buffer(buffer);
    assert!(downloader.reserve(100));
}
