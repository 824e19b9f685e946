"""What is stored and what is read: records, VOC XML, images, and the tf.data graph over them."""
